"""How many replicas: the rate that one replica sustains is measured, the rest is arithmetic.

Load is an open loop: requests leave at the instants of a Poisson process, whatever became of those before, because a
closed loop waits for slow answers and so hides the queue. What decides (schedule, verdict, search, estimate, sizes) is
pure; the load comes from a process of its own (`generator`), which also says whether it kept its schedule.
"""
