//! Network devices: memory links, TUN, TAP, netem and capture.
