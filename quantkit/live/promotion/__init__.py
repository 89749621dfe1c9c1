"""What promotion rests on: gates, the evidence for them, the file that keeps both."""
