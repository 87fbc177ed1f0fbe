"""What a command line names is looked at before anything slow: files, folders, and the data of an earlier training."""
