"""Tables and figures from result files; starts without torch."""
