//! [`Names`]: the names that the API server may dial us by, which our certificate has to be for.

use std::net::IpAddr;

use http::Uri;

/// A `--webhook-url` that the API server would not take.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no URL for a webhook: give https://HOST or https://HOST:PORT, without a path")]
pub struct InvalidWebhookUrl(String);

/// DNS names and addresses, sorted, each once.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Names {
    /// DNS names.
    pub dns: Vec<String>,
    /// IP addresses.
    pub ips: Vec<IpAddr>,
}

/// More names than anybody dials us by; keeps a certificate from growing for ever.
const MOST: usize = 32;

impl Names {
    /// The names of our Service in this namespace, and the host of the URL where the webhook is reached by one.
    pub fn of(namespace: &str, webhook_url: Option<&str>) -> Result<Self, InvalidWebhookUrl> {
        let service = format!("ringfence.{namespace}.svc");
        let mut names = Self {
            dns: vec![format!("{service}.cluster.local"), service],
            ips: Vec::new(),
        };
        if let Some(url) = webhook_url {
            let host = host(url)?;
            match host.trim_matches(['[', ']']).parse() {
                Ok(ip) => names.ips.push(ip),
                Err(_) => names.dns.push(host),
            }
        }
        names.sort();
        Ok(names)
    }

    /// These and others: replicas of two versions may want different names, and neither may undo what the other did.
    pub(super) fn and(&self, others: Names) -> Self {
        let mut names = self.clone();
        let room = MOST.saturating_sub(names.dns.len() + names.ips.len());
        names.dns.extend(others.dns.into_iter().take(room));
        let room = MOST.saturating_sub(names.dns.len() + names.ips.len());
        names.ips.extend(others.ips.into_iter().take(room));
        names.sort();
        names
    }

    fn sort(&mut self) {
        self.dns.sort();
        self.dns.dedup();
        self.ips.sort();
        self.ips.dedup();
    }
}

fn host(url: &str) -> Result<String, InvalidWebhookUrl> {
    let refused = || InvalidWebhookUrl(url.to_owned());
    let parsed: Uri = url.parse().map_err(|_| refused())?;
    let plain = parsed.scheme_str() == Some("https")
        && matches!(parsed.path(), "" | "/")
        && parsed.query().is_none()
        && !url.contains('@')
        && !url.contains('#');
    parsed
        .host()
        .filter(|host| plain && !host.is_empty())
        .map(str::to_ascii_lowercase)
        .ok_or_else(refused)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[rstest::rstest]
    #[case("https://ringfence.example.org", &["ringfence.example.org"], &[])]
    #[case("https://Ringfence.Example.org:8443/", &["ringfence.example.org"], &[])]
    #[case("https://127.0.0.1:8443", &[], &["127.0.0.1"])]
    #[case("https://[::1]:8443", &[], &["::1"])]
    fn the_host_of_the_url_is_among_them(#[case] url: &str, #[case] dns: &[&str], #[case] ips: &[&str]) {
        let names = Names::of("ringfence-system", Some(url)).expect("valid");
        for name in [
            "ringfence.ringfence-system.svc",
            "ringfence.ringfence-system.svc.cluster.local",
        ]
        .iter()
        .chain(dns)
        {
            assert!(names.dns.iter().any(|known| known == name), "{name} in {names:?}");
        }
        let expected: Vec<IpAddr> = ips.iter().map(|ip| ip.parse().expect("an address")).collect();
        assert_eq!((names.dns.len(), names.ips), (2 + dns.len(), expected));
    }

    #[rstest::rstest]
    #[case("http://ringfence.example.org")]
    #[case("ringfence.example.org:8443")]
    #[case("https://ringfence.example.org/path")]
    #[case("https://user@ringfence.example.org")]
    #[case("https://ringfence.example.org?x")]
    #[case("https://")]
    fn what_no_webhook_configuration_takes_is_refused(#[case] url: &str) {
        let error = Names::of("ringfence-system", Some(url)).expect_err("refused");
        assert!(error.to_string().contains("https://HOST"), "{error}");
    }

    #[test]
    fn names_of_others_are_kept_up_to_a_bound() {
        let mine = Names::of("a", None).expect("valid");
        let theirs = Names::of("b", Some("https://127.0.0.1")).expect("valid");
        let both = mine.and(theirs.clone());
        assert_eq!(both, theirs.and(mine.clone()));
        let many = Names {
            dns: (0..100).map(|n| format!("n{n}")).collect(),
            ips: Vec::new(),
        };
        let bounded = mine.and(many);
        assert_eq!(bounded.dns.len(), MOST);
        assert!(mine.dns.iter().all(|name| bounded.dns.contains(name)));
    }
}
