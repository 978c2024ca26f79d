"""Votes are predictions of probes; here is what follows from them and labels, without torch."""
