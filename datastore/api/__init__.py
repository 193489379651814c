"""The Action API: its addresses, calls of actions, dumps, and the addresses for operating."""
