"""Reports that are made by jobs elsewhere: schedule, poll, download."""
