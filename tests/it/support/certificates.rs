//! Certificates of an authority of the test's own.

use super::Folder;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, date_time_ymd};
use std::fs;
use std::path::{Path, PathBuf};

/// An authority, and a folder with its certificate and all that it has signed. It goes away with its test.
pub(crate) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    folder: Folder,
}

impl Authority {
    pub(crate) fn new() -> Authority {
        Authority::named("an authority")
    }

    pub(crate) fn named(name: &str) -> Authority {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let folder = Folder::new();
        fs::write(folder.path().join("ca.pem"), params.self_signed(&key).unwrap().pem()).unwrap();
        Authority { issuer: Issuer::new(params, key), folder }
    }

    /// Its own certificate, in PEM.
    pub(crate) fn file(&self) -> String {
        shown(&self.folder.path().join("ca.pem"))
    }

    /// A certificate for these names and addresses, and its key, in PEM.
    pub(crate) fn issue(&self, hosts: &[&str]) -> [String; 2] {
        self.issue_until(hosts, 4000)
    }

    /// One that is good up to this year.
    pub(crate) fn issue_until(&self, hosts: &[&str], year: i32) -> [String; 2] {
        let hosts: Vec<String> = hosts.iter().map(|host| (*host).to_owned()).collect();
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(hosts).unwrap();
        params.distinguished_name.push(DnType::CommonName, "a test");
        params.not_before = date_time_ymd(1990, 1, 1);
        params.not_after = date_time_ymd(year, 1, 1);
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let number = fs::read_dir(self.folder.path()).unwrap().count();
        let [certificate_file, key_file]: [PathBuf; 2] =
            ["cert", "key"].map(|kind| self.folder.path().join(format!("{number}-{kind}.pem")));
        fs::write(&certificate_file, certificate.pem()).unwrap();
        fs::write(&key_file, key.serialize_pem()).unwrap();
        [shown(&certificate_file), shown(&key_file)]
    }
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}
