//! What a test says about the control plane it wants: who exists, which controllers run.

/// The control plane to start.
#[derive(Clone, Debug)]
pub struct Options {
    /// Who may log in, beside [`User::admin`].
    pub users: Vec<User>,
    /// Whether and how kube-controller-manager runs.
    pub controllers: Controllers,
    /// Whether pods are bound and run.
    pub nodes: Nodes,
}

impl Default for Options {
    /// All of it, and no other user than `admin`.
    fn default() -> Self {
        Self {
            users: Vec::new(),
            controllers: Controllers::AccountEach,
            nodes: Nodes::One,
        }
    }
}

impl Options {
    /// The API server and its store alone, and no other user than `admin`.
    pub fn bare() -> Self {
        Self {
            users: Vec::new(),
            controllers: Controllers::Absent,
            nodes: Nodes::Absent,
        }
    }

    /// All of it, with these users.
    pub fn with_users(users: impl IntoIterator<Item = User>) -> Self {
        Self {
            users: users.into_iter().collect(),
            ..Self::default()
        }
    }
}

/// Under which identity the built-in controllers write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Controllers {
    /// No kube-controller-manager: no ReplicaSet of a Deployment, no default service account either.
    Absent,
    /// Each as its own service account in kube-system, as kubeadm and the clouds have it.
    AccountEach,
    /// All as the user `system:kube-controller-manager`.
    OneUser,
}

/// Whether there is somewhere for pods to run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Nodes {
    /// No scheduler and no node: pods stay pending.
    Absent,
    /// kube-scheduler, and one ready node that kwok stands in for: pods are bound, become ready,
    /// complete (of Jobs) and end.
    One,
}

/// Somebody with a token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// The username that the API server sees.
    pub name: String,
    /// The uid it sees.
    pub uid: String,
    /// The groups it sees, beside `system:authenticated`.
    pub groups: Vec<String>,
}

impl User {
    /// A user of no group.
    pub fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            uid: format!("uid-of-{name}"),
            groups: Vec::new(),
        }
    }

    /// The cluster administrator that every control plane has: `admin`, of `system:masters`.
    pub fn admin() -> Self {
        Self::new("admin").in_groups(["system:masters"])
    }

    /// The same user in these groups.
    #[must_use]
    pub fn in_groups<'name>(mut self, groups: impl IntoIterator<Item = &'name str>) -> Self {
        self.groups = groups.into_iter().map(str::to_owned).collect();
        self
    }

    /// The same user with this uid.
    #[must_use]
    pub fn with_uid(mut self, uid: &str) -> Self {
        uid.clone_into(&mut self.uid);
        self
    }

    /// Its bearer token. Tokens are no secret here: the API server listens on loopback and dies with
    /// the test.
    pub(crate) fn token(&self) -> String {
        let name: String = self
            .name
            .chars()
            .map(|letter| if letter.is_ascii_alphanumeric() { letter } else { '-' })
            .collect();
        format!("token-of-{name}-{}", self.uid)
    }

    /// Its line in kube-apiserver's `--token-auth-file`. Without a fourth column where there are no
    /// groups: an empty one is a group of the name "".
    pub(crate) fn token_line(&self) -> String {
        let groups = match self.groups.as_slice() {
            [] => String::new(),
            groups => format!(",\"{}\"", groups.join(",")),
        };
        format!("{},\"{}\",\"{}\"{groups}\n", self.token(), self.name, self.uid)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_token_line_quotes_what_may_hold_commas() {
        let user = User::new("mallory").in_groups(["dev", "web"]).with_uid("7");
        assert_eq!(user.token_line(), "token-of-mallory-7,\"mallory\",\"7\",\"dev,web\"\n");
    }

    #[test]
    fn a_user_of_no_group_has_no_group_without_a_name() {
        assert_eq!(
            User::new("eve").token_line(),
            "token-of-eve-uid-of-eve,\"eve\",\"uid-of-eve\"\n"
        );
    }
}
