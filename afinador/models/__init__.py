"""Model families: what a folder holds, how it is loaded, and what is published beside the weights."""
