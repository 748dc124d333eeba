"""The table of a method: what each of its parts is worth on one data set, over several seeds."""
