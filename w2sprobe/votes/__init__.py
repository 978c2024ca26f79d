"""Votes are predictions of probes, held out for training rows. Store, score and use them.

Nothing here needs activations or torch.
"""
