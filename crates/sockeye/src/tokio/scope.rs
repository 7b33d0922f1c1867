//! A future with a node of its own.

use crate::Node;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

/// Runs `future` with `node` as its current node, on whichever thread it is polled.
///
/// [`Node::enter`] holds for a thread; the tasks of a runtime with several threads move between
/// them. A task that is spawned from `future` is not part of it: give it a scope of its own.
///
/// ```
/// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
/// use sockeye::tokio::{TcpListener, TcpStream, scope};
/// let node = sockeye::Node::builder().build()?;
/// scope(&node, async {
///     let listener = TcpListener::bind("127.0.0.1:0").await?;
///     TcpStream::connect(listener.local_addr()?).await?;
///     listener.accept().await
/// })
/// .await?;
/// # std::io::Result::Ok(())
/// # })?;
/// # std::io::Result::Ok(())
/// ```
pub fn scope<F: Future>(node: &Node, future: F) -> Scoped<F> {
    Scoped {
        node: node.clone(),
        future: Box::pin(future),
    }
}

/// See [`scope`].
#[derive(Debug)]
#[must_use = "futures do nothing unless they are polled"]
pub struct Scoped<F> {
    node: Node,
    future: Pin<Box<F>>,
}

impl<F: Future> Future for Scoped<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let _current = self.node.enter();
        self.future.as_mut().poll(cx)
    }
}
