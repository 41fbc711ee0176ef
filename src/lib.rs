//! ringfence: everything that touches the world.
