//! [`Subject`]: who is granted something, as RBAC names them, with what one should know before granting.

use std::fmt;

use k8s_openapi::api::rbac::v1::Subject as RbacSubject;
use sha2::{Digest, Sha256};

/// Who is granted something.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Subject {
    /// A user, by the name that the API server sees.
    User(String),
    /// A group.
    Group(String),
    /// A service account.
    ServiceAccount {
        /// The namespace it lives in.
        namespace: String,
        /// Its name there.
        name: String,
    },
}

impl fmt::Display for Subject {
    /// `User olga`, `Group developers`, `ServiceAccount ci:deployer`.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::User(name) => write!(formatter, "User {name}"),
            Self::Group(name) => write!(formatter, "Group {name}"),
            Self::ServiceAccount { namespace, name } => write!(formatter, "ServiceAccount {namespace}:{name}"),
        }
    }
}

/// A subject that RBAC would not understand.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidSubject {
    /// No name.
    #[error("the name of a {0} cannot be empty")]
    Empty(&'static str),
    /// Not `NAMESPACE:NAME`.
    #[error("{0:?} is no service account: write NAMESPACE:NAME, e.g. ci:deployer")]
    ServiceAccount(String),
}

/// The longest name of an object.
const LONGEST_NAME: usize = 253;

impl Subject {
    /// A user; the user name of a service account gives that service account.
    pub fn user(name: &str) -> Result<Self, InvalidSubject> {
        match name.strip_prefix("system:serviceaccount:") {
            Some(account) => Self::service_account(account),
            None if name.is_empty() => Err(InvalidSubject::Empty("user")),
            None => Ok(Self::User(name.to_owned())),
        }
    }

    /// A group.
    pub fn group(name: &str) -> Result<Self, InvalidSubject> {
        if name.is_empty() {
            return Err(InvalidSubject::Empty("group"));
        }
        Ok(Self::Group(name.to_owned()))
    }

    /// A service account, written `NAMESPACE:NAME`.
    pub fn service_account(text: &str) -> Result<Self, InvalidSubject> {
        match text.split_once(':') {
            Some((namespace, name)) if !namespace.is_empty() && !name.is_empty() && !name.contains([':', '/']) => {
                Ok(Self::ServiceAccount {
                    namespace: namespace.to_owned(),
                    name: name.to_owned(),
                })
            }
            _ => Err(InvalidSubject::ServiceAccount(text.to_owned())),
        }
    }

    /// What one should know before granting something to it; none for a plain user or group.
    pub fn warning(&self) -> Option<String> {
        let borrowed = |namespace: &str, who: String| {
            format!(
                "WARNING: a grant to {who} is a grant to everybody who may create pods, create tokens \
                 (serviceaccounts/token) or token Secrets, or impersonate, in namespace {namespace}; and to whoever \
                 creates a service account of that name. `edit` in {namespace} is enough. Keep such accounts in a \
                 namespace that developers cannot write to."
            )
        };
        match self {
            Self::ServiceAccount { namespace, name } => {
                Some(borrowed(namespace, format!("service account {namespace}:{name}")))
            }
            Self::Group(group) => match (group.as_str(), group.strip_prefix("system:serviceaccounts:")) {
                (_, Some(namespace)) => Some(borrowed(namespace, format!("all service accounts of {namespace}"))),
                ("system:authenticated" | "system:unauthenticated" | "system:serviceaccounts", None) => Some(format!(
                    "WARNING: group {group} is everybody: this grant protects nothing any more."
                )),
                _ => None,
            },
            Self::User(user) if user == "system:anonymous" => {
                Some("WARNING: system:anonymous is everybody: this grant protects nothing any more.".to_owned())
            }
            Self::User(_) => None,
        }
    }

    /// The flags of kubectl that ask as this subject.
    pub(super) fn impersonation(&self) -> String {
        match self {
            Self::User(name) => format!("--as {}", quoted(name)),
            // Whoever is in the group: impersonating a group needs a user, too.
            Self::Group(name) => format!("--as nobody --as-group {}", quoted(name)),
            Self::ServiceAccount { namespace, name } => format!("--as system:serviceaccount:{namespace}:{name}"),
        }
    }

    pub(super) fn to_rbac(&self) -> RbacSubject {
        let named = |kind: &str, name: &str| RbacSubject {
            kind: kind.to_owned(),
            name: name.to_owned(),
            api_group: Some(super::RBAC_GROUP.to_owned()),
            namespace: None,
        };
        match self {
            Self::User(name) => named("User", name),
            Self::Group(name) => named("Group", name),
            Self::ServiceAccount { namespace, name } => RbacSubject {
                kind: "ServiceAccount".to_owned(),
                name: name.clone(),
                api_group: None,
                namespace: Some(namespace.clone()),
            },
        }
    }

    /// The name of a binding of `role` to this subject: always the same, so that granting twice changes nothing. RBAC
    /// takes any path segment as a name; what is none, or too long, is cut and told apart by a digest.
    pub(super) fn binding_name(&self, role: &str) -> String {
        let plain = match self {
            Self::User(name) => format!("{role}:user:{name}"),
            Self::Group(name) => format!("{role}:group:{name}"),
            Self::ServiceAccount { namespace, name } => format!("{role}:serviceaccount:{namespace}:{name}"),
        };
        let allowed = |letter: char| letter.is_ascii_alphanumeric() || "-_.:@+".contains(letter);
        if plain.len() <= LONGEST_NAME && plain.chars().all(allowed) {
            return plain;
        }
        let digest = Sha256::digest(plain.as_bytes());
        let digest = digest[..5]
            .iter()
            .fold(String::new(), |text, byte| text + &format!("{byte:02x}"));
        let readable: String = plain
            .chars()
            .map(|letter| if allowed(letter) { letter } else { '-' })
            .collect();
        format!("{}:{digest}", &readable[..readable.len().min(LONGEST_NAME - 11)])
    }
}

/// As a shell takes it.
fn quoted(text: &str) -> String {
    let plain = |letter: char| letter.is_ascii_alphanumeric() || "-_.:@+/".contains(letter);
    if text.chars().all(plain) {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', "'\\''"))
    }
}
