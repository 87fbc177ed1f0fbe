"""What a command line names is looked at before anything slow: files and folders."""
