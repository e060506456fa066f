"""How jobs and preparations come to be: base, data and device looked at, the specification resolved."""
