"""What a verdict on a data set is made of: each file looks for one kind of fault or doubt.

``judging`` takes one record through all checks, ``findings`` adds up what was found block by block, ``proofs`` lets the
records pass that surely have no fault, ``line_blocks`` and ``workers`` share a large file among processes.
"""
