//! [`NamespaceTable`]: every namespace that is spoken of, numbered, with its labels.

use hashbrown::HashMap;

use crate::labels::NAMESPACE_NAME_LABEL;
use crate::model::NamespaceName;
use crate::netpol::World;

/// Number of a namespace.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct NamespaceId(u32);

#[derive(Debug)]
pub(super) struct NamespaceTable {
    numbers: HashMap<NamespaceName, NamespaceId>,
    labels: Vec<Vec<(String, String)>>,
}

impl NamespaceTable {
    pub(super) fn new(world: &World) -> Self {
        let named = world.workloads.iter().map(|workload| &workload.namespace);
        let named = named.chain(world.policies.iter().map(|policy| &policy.name.namespace));
        let mut table = Self {
            numbers: HashMap::new(),
            labels: Vec::new(),
        };
        for (name, labels) in &world.namespaces {
            table.add(name, labels);
        }
        for name in named {
            table.add(name, &[]);
        }
        table
    }

    fn add(&mut self, name: &NamespaceName, labels: &[(String, String)]) {
        if self.numbers.contains_key(name) {
            return;
        }
        let number = NamespaceId(u32::try_from(self.labels.len()).expect("namespaces fit in memory"));
        self.numbers.insert(name.clone(), number);
        let others = labels.iter().filter(|(key, _)| key != NAMESPACE_NAME_LABEL).cloned();
        let own = (NAMESPACE_NAME_LABEL.to_owned(), name.as_str().to_owned());
        self.labels.push(others.chain([own]).collect());
    }

    /// The number of a namespace of the world.
    pub(super) fn number(&self, name: &NamespaceName) -> NamespaceId {
        self.numbers[name]
    }

    /// All of them with their labels.
    pub(super) fn iter(&self) -> impl ExactSizeIterator<Item = (NamespaceId, &Vec<(String, String)>)> {
        let numbered = self.labels.iter().enumerate();
        numbered.map(|(number, labels)| (NamespaceId(u32::try_from(number).expect("numbered above")), labels))
    }
}
