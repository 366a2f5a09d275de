use super::*;

/// 2026-01-01T00:00:00Z.
const NOW_S: i64 = 1_767_225_600;

fn request(key: &KeyPair) -> CertificateSigningRequestDer<'static> {
    let mut params = CertificateParams::new(vec!["evil.example".to_owned()]).unwrap();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, INGESTER);
    params.distinguished_name.push(DnType::OrganizationName, Role::Ingester.organisation());
    params.serialize_request(key).unwrap().into()
}

fn names(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

#[test]
fn the_authority_is_made_once_and_found_again() {
    let directory = tempfile::tempdir().unwrap();
    let made = Ca::open(directory.path(), NOW_S).unwrap();
    let found = Ca::open(directory.path(), NOW_S + 1_000).unwrap();
    assert_eq!(made.fingerprint(), found.fingerprint());
}

#[test]
fn a_lost_key_is_an_error_and_a_lost_certificate_is_made_again() {
    let directory = tempfile::tempdir().unwrap();
    let ca = Ca::open(directory.path(), NOW_S).unwrap();
    std::fs::remove_file(ca.file()).unwrap();
    Ca::open(directory.path(), NOW_S).unwrap();
    std::fs::remove_file(directory.path().join("ca.key")).unwrap();
    assert!(matches!(Ca::open(directory.path(), NOW_S), Err(CaError::KeyMissing(_))));
}

#[test]
fn a_key_of_another_authority_is_noticed() {
    let directory = tempfile::tempdir().unwrap();
    Ca::open(directory.path(), NOW_S).unwrap();
    let other = KeyPair::generate().unwrap();
    std::fs::write(directory.path().join("ca.key"), other.serialize_pem()).unwrap();
    assert!(matches!(Ca::open(directory.path(), NOW_S), Err(CaError::Damaged { .. })));
}

#[test]
fn the_server_certificate_stays_until_its_end_or_its_names_change() {
    let directory = tempfile::tempdir().unwrap();
    let ca = Ca::open(directory.path(), NOW_S).unwrap();
    let first = ca.server(&names(&["127.0.0.1", "inuse.local"]), NOW_S).unwrap();
    let same = ca.server(&names(&["inuse.local", "127.0.0.1"]), NOW_S + 100 * DAY_S).unwrap();
    assert_eq!(first.chain, same.chain);
    assert_eq!(first.chain.len(), 2);
    let other_names = ca.server(&names(&["inuse.local"]), NOW_S).unwrap();
    assert_ne!(same.chain, other_names.chain);
    let renewed = ca.server(&names(&["inuse.local"]), NOW_S + LEAF_S - RENEW_S + 1).unwrap();
    assert_ne!(other_names.chain, renewed.chain);
}

#[test]
fn a_server_name_that_is_none_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let ca = Ca::open(directory.path(), NOW_S).unwrap();
    assert!(matches!(ca.server(&names(&["not a name"]), NOW_S), Err(CaError::Name(_))));
}

#[test]
fn a_key_and_certificate_that_do_not_fit_are_made_again() {
    let directory = tempfile::tempdir().unwrap();
    let ca = Ca::open(directory.path(), NOW_S).unwrap();
    let first = ca.ingester(NOW_S).unwrap();
    std::fs::write(&first.key_file, KeyPair::generate().unwrap().serialize_pem()).unwrap();
    let second = ca.ingester(NOW_S).unwrap();
    assert_ne!(first.chain, second.chain);
}

#[test]
fn an_agent_gets_only_its_key_signed_and_no_name_it_asks_for() {
    let directory = tempfile::tempdir().unwrap();
    let ca = Ca::open(directory.path(), NOW_S).unwrap();
    let key = KeyPair::generate().unwrap();
    let agent = AgentId([9; 16]);
    let pem = ca.agent(&request(&key), agent, NOW_S).unwrap();
    let der = CertificateDer::from_pem_slice(pem.as_bytes()).unwrap();
    let (_, parsed) = X509Certificate::from_der(&der).unwrap();
    let subject = parsed.subject();
    let common_names: Vec<_> = subject.iter_common_name().map(|name| name.as_str().unwrap()).collect();
    let organisations: Vec<_> = subject.iter_organization().map(|name| name.as_str().unwrap()).collect();
    assert_eq!(common_names, [agent.to_string()]);
    assert_eq!(organisations, [Role::Agent.organisation()]);
    assert!(parsed.subject_alternative_name().unwrap().is_none());
    assert_eq!(parsed.public_key().subject_public_key.data.as_ref(), key.der_bytes());
    assert!(!parsed.is_ca());
}

#[test]
fn a_request_not_signed_by_its_key_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let ca = Ca::open(directory.path(), NOW_S).unwrap();
    let mut bytes = request(&KeyPair::generate().unwrap()).to_vec();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    assert!(matches!(ca.agent(&bytes.into(), AgentId([1; 16]), NOW_S), Err(CaError::Request(_))));
    let p384 = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384).unwrap();
    assert!(matches!(ca.agent(&request(&p384), AgentId([1; 16]), NOW_S), Err(CaError::Request(_))));
}
