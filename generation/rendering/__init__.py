"""One render inside an engine: frames and music in parallel, then the finished file."""
