"""Turns of conversations, a pair of answers, and a tool with its call and reply."""

USER = {"role": "user", "content": "q"}
ANSWER = {"role": "assistant", "content": "a"}
OTHER = {"role": "assistant", "content": "b"}
PAIR = {"input": {"messages": [USER]}, "preferred_output": [ANSWER], "non_preferred_output": [OTHER]}
OTHER_USER = {"role": "user", "content": "r"}
BLANK = {"role": "user", "content": " "}
CALL = {"id": "1", "type": "function", "function": {"name": "go", "arguments": "{}"}}
CALLING = {"role": "assistant", "content": None, "tool_calls": [CALL]}
REPLY = {"role": "tool", "tool_call_id": "1", "content": "r"}
TOOL = {"type": "function", "function": {"name": "go", "parameters": {}}}
