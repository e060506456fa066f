"""The door: who asks, is it valid, write it down, hand it on.

Handlers are short and know no flow, no task and no model; what takes long happens in the background after the answer.
"""
