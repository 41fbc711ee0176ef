//! Where a CONNECT request leads: the names of proxies as they really arrive, `[scheme:]name[:port]`
//! (`SplitSchemeNamePort` of apimachinery).

use super::paths::Shape;
use crate::model::{NamespaceName, Target};

/// The name between an optional scheme and an optional port.
fn proxied_name(text: &str) -> &str {
    let parts: Vec<&str> = text.split(':').collect();
    match parts.as_slice() {
        [name] | [name, _] | [_, name, _] => name,
        // The API server refuses it before anything is dialled.
        _ => text,
    }
}

/// The target of a connection, none where the API server will refuse it for its name alone.
pub(super) fn of(shape: Shape, namespace: &str, name: &str) -> Option<Target> {
    let proxied = proxied_name(name).to_owned();
    let namespace = || NamespaceName::new(namespace).ok();
    match shape {
        Shape::PodConnection => Some(Target::Pod(namespace()?, name.to_owned())),
        Shape::PodProxy => Some(Target::PodAddresses(namespace()?, proxied)),
        Shape::ServiceProxy => Some(Target::Service(namespace()?, proxied)),
        Shape::NodeProxy => Some(Target::Node(proxied)),
        Shape::Pod
        | Shape::Template(_)
        | Shape::Namespace
        | Shape::NetworkPolicy
        | Shape::UnreadPolicy(_)
        | Shape::Binding
        | Shape::EphemeralContainers => None,
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("web-0", "web-0")]
    #[case("web-0:8443", "web-0")]
    #[case("https:web-0:8443", "web-0")]
    #[case("https:web-0:", "web-0")]
    #[case(":web-0:8443", "web-0")]
    fn a_scheme_and_a_port_are_not_part_of_the_name(#[case] text: &str, #[case] name: &str) {
        let namespace = NamespaceName::new("payments").expect("valid name");
        assert_eq!(
            of(Shape::PodProxy, "payments", text),
            Some(Target::PodAddresses(namespace, name.to_owned()))
        );
        assert_eq!(of(Shape::NodeProxy, "", text), Some(Target::Node(name.to_owned())));
    }
}
