"""A stack as on a cluster, without one: a store that is reached through ZenML alone, and a process for every step."""
