"""What every frontend calls, and the only place that decides who may do and see what."""
