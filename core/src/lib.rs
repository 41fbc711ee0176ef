//! ringfence-core: the decisions of ringfence, pure.
