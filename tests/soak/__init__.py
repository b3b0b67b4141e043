"""A long run of mixed traffic before real processes that fail: what is counted, and what is left over."""
