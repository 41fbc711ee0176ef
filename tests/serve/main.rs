//! The server on real sockets: what it answers, and what no client can do to it.

mod client;
mod drain;
mod hostile;
mod limits;
mod mutual;
mod protocols;
mod reload;
mod running;
