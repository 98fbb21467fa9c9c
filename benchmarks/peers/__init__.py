"""The same work done four ways, each a process of its own: Handover's runtime, a hand-written floor, two known libraries."""
