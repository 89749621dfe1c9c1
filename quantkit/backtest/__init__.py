"""Running a strategy over bars, and everything said about the run afterwards."""
