//! Network sockets in user space: a whole node of your own, with std- and tokio-shaped sockets.
