//! Mutual TLS: only clients with a certificate of the client authority are answered.

use std::io;

use rcgen::{BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose};
use ringfence::serve::Options;
use rstest::rstest;
use rustls::SupportedProtocolVersion;
use rustls::version::{TLS12, TLS13};

use crate::client::Hello;
use crate::running::{Running, options, start_with, try_start};

/// An authority's certificate, and a client's certificate and key of it.
fn authority() -> (String, (String, String)) {
    let ca_key = KeyPair::generate().expect("a key");
    let mut ca = CertificateParams::default();
    ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    ca.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    let ca_pem = ca.self_signed(&ca_key).expect("signs").pem();
    let key = KeyPair::generate().expect("a key");
    let mut client = CertificateParams::default();
    client.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    client.use_authority_key_identifier_extension = true;
    let client = client.signed_by(&key, &Issuer::new(ca, ca_key)).expect("signs");
    (ca_pem, (client.pem(), key.serialize_pem()))
}

async fn reviews(running: &Running, hello: &Hello) -> io::Result<u16> {
    let stream = running.handshake(hello).await?;
    let mut client = running.http1_over(stream).await;
    // With TLS 1.3 a client hears only after its handshake that its certificate was refused.
    let answer = client.try_review("{}").await.map_err(io::Error::other)?;
    Ok(answer.0)
}

#[rstest]
#[tokio::test]
async fn only_clients_of_the_authority_are_answered(
    #[values(&TLS12, &TLS13)] version: &'static SupportedProtocolVersion,
) {
    let ((ca_pem, identity), (_, stranger)) = (authority(), authority());
    let running = start_with(Options {
        client_ca: Some(ca_pem.into_bytes()),
        ..options()
    })
    .await;
    let hello = |identity| Hello {
        versions: vec![version],
        identity,
        ..Hello::default()
    };
    assert_eq!(reviews(&running, &hello(Some(identity))).await.expect("answers"), 200);
    reviews(&running, &hello(None))
        .await
        .expect_err("without a certificate");
    reviews(&running, &hello(Some(stranger)))
        .await
        .expect_err("of another authority");
    let failures = "ringfence_tls_handshake_failures_total{reason=\"failed\"}";
    running.until_metric(failures, "2").await;
}

#[rstest]
#[case::empty("", "the client CA has no certificate")]
#[case::broken(
    "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
    "the client CA cannot be used"
)]
#[case::cut_off("-----BEGIN CERTIFICATE-----\nAAAA\n", "the client CA is not PEM")]
#[tokio::test]
async fn an_authority_that_is_none_is_said_at_start(#[case] pem: &str, #[case] expected: &str) {
    let options = Options {
        client_ca: Some(pem.as_bytes().to_vec()),
        ..options()
    };
    let error = try_start(options).await.err().expect("refused").to_string();
    assert!(error.starts_with(expected), "{error}");
}
