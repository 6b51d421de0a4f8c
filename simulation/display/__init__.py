"""What people read: transcripts, live scenes, the SQL shell."""
