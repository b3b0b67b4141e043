"""A fleet of engines and the gateways before it on a virtual clock: which strategy wins on which workload.

Discrete events instead of sockets and sleeping; what chooses the pods are the real strategies over real pods. Not
simulated: the network, failing engines, clients that leave, and what the gateway itself costs.
"""
