//! A Sigstore of our own: an authority that vouches for identities, a log of its certificates, and a log of signatures, all with
//! real cryptography. What it signs is what `cosign sign-blob --bundle` writes.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use fumehood_model::Timestamp;
use serde_json::{Value, json};

use super::{
    der::{bits, extension, integer, object, octets, sequence, set, text, value},
    signer::{Signer, pem, sha256},
};

/// The name of the extension that holds what the log of certificates has promised.
const PROMISES: &str = "1.3.6.1.4.1.11129.2.4.2";

/// Since when its parts are trusted.
const SINCE: &str = "2021-01-01T00:00:00Z";

/// Who signs, and when.
#[derive(Debug, Clone)]
pub(super) struct Signing {
    pub(super) subject: String,
    pub(super) issuer: String,
    /// Seconds from the beginning of the certificate, which is valid for ten minutes.
    pub(super) after: i64,
    /// Whether the log of certificates knows of it.
    pub(super) is_promised: bool,
}

pub(super) struct Sigstore {
    authority: Signer,
    certificates: Signer,
    log: Signer,
}

impl Sigstore {
    pub(super) fn new() -> Self {
        Self { authority: Signer::ecdsa(), certificates: Signer::ecdsa(), log: Signer::ecdsa() }
    }

    /// The `trusted_root.json` of whoever trusts it.
    pub(super) fn root(&self) -> Value {
        let log = |name: &str, key: &Signer| {
            json!({
                "baseUrl": format!("https://{name}.example"),
                "hashAlgorithm": "SHA2_256",
                "publicKey": {
                    "rawBytes": STANDARD.encode(key.public()),
                    "keyDetails": "PKIX_ECDSA_P256_SHA_256",
                    "validFor": { "start": SINCE },
                },
                "logId": { "keyId": STANDARD.encode(sha256(&key.public())) },
            })
        };
        json!({
            "mediaType": "application/vnd.dev.sigstore.trustedroot+json;version=0.1",
            "tlogs": [log("log", &self.log)],
            "certificateAuthorities": [{
                "subject": { "organization": "example", "commonName": "authority" },
                "uri": "https://authority.example",
                "certChain": { "certificates": [{ "rawBytes": STANDARD.encode(self.own()) }] },
                "validFor": { "start": SINCE },
            }],
            "ctlogs": [log("certificates", &self.certificates)],
            "timestampAuthorities": [],
        })
    }

    /// A bundle for `component`, signed with a key that is made for it.
    pub(super) fn bundle(&self, component: &[u8], signing: &Signing) -> Value {
        let key = Signer::ecdsa();
        let begins = Timestamp::now().unix_ms / 1000 - 3600;
        let certificate = self.certificate(&key, signing, begins);
        let signature = key.sign(component);
        let integrated = i64::try_from(begins).unwrap() + signing.after;
        let body = json!({
            "apiVersion": "0.0.1",
            "kind": "hashedrekord",
            "spec": {
                "data": { "hash": { "algorithm": "sha256", "value": hex(&sha256(component)) } },
                "signature": {
                    "content": STANDARD.encode(&signature),
                    "publicKey": { "content": STANDARD.encode(pem("CERTIFICATE", &certificate)) },
                },
            },
        });
        let body = body.to_string();
        let log_id = sha256(&self.log.public());
        let promised = format!(
            r#"{{"body":"{}","integratedTime":{integrated},"logID":"{}","logIndex":0}}"#,
            STANDARD.encode(&body),
            hex(&log_id)
        );
        // The only leaf of its tree, and so its root too.
        let root = STANDARD.encode(sha256(&[&[0][..], body.as_bytes()].concat()));
        let note = format!("log.example\n1\n{root}\n");
        let signed = STANDARD.encode([&log_id[..4], &self.log.sign(note.as_bytes())].concat());
        json!({
            "mediaType": "application/vnd.dev.sigstore.bundle.v0.3+json",
            "verificationMaterial": {
                "certificate": { "rawBytes": STANDARD.encode(&certificate) },
                "tlogEntries": [{
                    "logIndex": "0",
                    "logId": { "keyId": STANDARD.encode(&log_id) },
                    "kindVersion": { "kind": "hashedrekord", "version": "0.0.1" },
                    "integratedTime": integrated.to_string(),
                    "inclusionPromise": { "signedEntryTimestamp": STANDARD.encode(self.log.sign(promised.as_bytes())) },
                    "inclusionProof": {
                        "logIndex": "0",
                        "rootHash": root,
                        "treeSize": "1",
                        "hashes": [],
                        "checkpoint": { "envelope": format!("{note}\n\u{2014} log.example {signed}\n") },
                    },
                    "canonicalizedBody": STANDARD.encode(&body),
                }],
                "timestampVerificationData": { "rfc3161Timestamps": [] },
            },
            "messageSignature": {
                "messageDigest": { "algorithm": "SHA2_256", "digest": STANDARD.encode(sha256(component)) },
                "signature": STANDARD.encode(&signature),
            },
        })
    }

    /// The certificate of the authority itself.
    fn own(&self) -> Vec<u8> {
        let extensions = [
            extension("2.5.29.19", true, &sequence(&[value(0x01, &[0xff])])),
            extension("2.5.29.15", true, &bits(1, &[0x06])),
        ];
        let span = [utc(1_600_000_000), utc(2_400_000_000)];
        self.signed(&to_be_signed(&span, &name(), &self.authority.public(), &extensions))
    }

    /// A certificate for `key`, from `begins` on, that says whose it is.
    fn certificate(&self, key: &Signer, signing: &Signing, begins: u64) -> Vec<u8> {
        let kind = if signing.subject.contains("://") { 0x86 } else { 0x81 };
        let mut extensions = vec![
            extension("2.5.29.15", true, &bits(7, &[0x80])),
            extension("2.5.29.37", false, &sequence(&[object("1.3.6.1.5.5.7.3.3")])),
            extension("2.5.29.17", true, &sequence(&[value(kind, signing.subject.as_bytes())])),
            extension("1.3.6.1.4.1.57264.1.8", false, &text(&signing.issuer)),
        ];
        let span = [utc(begins), utc(begins + 600)];
        let nobody = sequence(&[]);
        let before = to_be_signed(&span, &nobody, &key.public(), &extensions);
        if signing.is_promised {
            extensions.push(extension(PROMISES, false, &octets(&self.promises(&before, begins))));
        }
        self.signed(&to_be_signed(&span, &nobody, &key.public(), &extensions))
    }

    /// What the log of certificates says of a certificate before it is in it: RFC 6962, section 3.2.
    fn promises(&self, before: &[u8], begins: u64) -> Vec<u8> {
        let moment = (begins * 1000).to_be_bytes();
        let length = u32::try_from(before.len()).unwrap().to_be_bytes();
        let issuer = sha256(&self.authority.public());
        let signed = [&[0, 0][..], &moment, &[0, 1], &issuer, &length[1..], before, &[0, 0]].concat();
        let signature = self.certificates.sign(&signed);
        let id = sha256(&self.certificates.public());
        let promise = [&[0][..], &id, &moment, &[0, 0], &[4, 3], &prefixed(&signature)].concat();
        prefixed(&prefixed(&promise))
    }

    fn signed(&self, content: &[u8]) -> Vec<u8> {
        sequence(&[content.to_vec(), algorithm(), bits(0, &self.authority.sign(content))])
    }
}

fn to_be_signed(span: &[Vec<u8>; 2], subject: &[u8], key: &[u8], extensions: &[Vec<u8>]) -> Vec<u8> {
    let version = value(0xa0, &integer(2));
    let extensions = value(0xa3, &sequence(extensions));
    sequence(&[version, integer(7), algorithm(), name(), sequence(span), subject.to_vec(), key.to_vec(), extensions])
}

fn algorithm() -> Vec<u8> {
    sequence(&[object("1.2.840.10045.4.3.2")])
}

/// What the authority is called.
fn name() -> Vec<u8> {
    sequence(&[set(&[sequence(&[object("2.5.4.3"), text("authority")])])])
}

/// A moment, in seconds since 1970, as certificates write it: two digits of the year up to 2050, four after that.
fn utc(seconds: u64) -> Vec<u8> {
    let moment = Timestamp { unix_ms: seconds * 1000 }.to_string();
    let digits: String = moment.split('.').next().unwrap().chars().filter(char::is_ascii_digit).collect();
    value(0x17, format!("{}Z", &digits[2..]).as_bytes())
}

/// With its length before it.
fn prefixed(content: &[u8]) -> Vec<u8> {
    [&u16::try_from(content.len()).unwrap().to_be_bytes()[..], content].concat()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
