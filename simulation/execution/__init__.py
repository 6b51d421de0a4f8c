"""Work at scale: workers here or on Ray, their schedule, progress and heartbeat."""
