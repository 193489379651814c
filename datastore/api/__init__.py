"""The wire: HTTP requests to action calls, results and errors back to HTTP responses."""
