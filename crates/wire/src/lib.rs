//! Packet formats: views that parse in place and emitters that write into headroom.
