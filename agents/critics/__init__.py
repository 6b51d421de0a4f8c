"""The critics of the panel, one file each."""
