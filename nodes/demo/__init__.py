"""`bbaj demo`: a network five tiers deep with real services, faults, a rogue, and a judge apart.

places     who is who          network   brokers, database, daemons, set up and taken down
story      what happens        rogue     a child that sends bad frames under a valid login
ledger     a process of its own: drops, takes out, and judges (judgement, evidence, boxes)
proving    one packet of each flow as evidence, checked by three that share nothing
negative   the same judgement over three sabotages that it must find
view       what a person sees
"""
