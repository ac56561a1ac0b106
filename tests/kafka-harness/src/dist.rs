//! Kafka's jars: fetched by Maven once per version, shared by all tests.

use std::fmt::{self, Write as _};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::str::FromStr;

use crate::error::{Context, Error, Result};

/// The version that tests use unless they ask for another.
pub const DEFAULT_VERSION: &str = "4.3.1";

/// The versions that klamm is tested against: the oldest that speaks record batches as klamm writes them with all codecs, the
/// last with ZooKeeper in wide use, the first and the last of 3 with KRaft, and the current ones.
pub const TESTED_VERSIONS: [&str; 7] = ["2.1.1", "2.8.2", "3.3.2", "3.9.2", "4.0.1", "4.3.1", "4.4.0"];

/// log4j 2 for Kafka 4, which brings no logging back end of its own.
const LOG4J: &str = "2.25.4";

/// A Kafka version such as 4.3.1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version(pub u16, pub u16, pub u16);

impl FromStr for Version {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let parts: Vec<Option<u16>> = text.split('.').map(|part| part.parse().ok()).collect();
        match parts[..] {
            [Some(a), Some(b), Some(c)] => Ok(Self(a, b, c)),
            _ => Err(Error::new(format!("`{text}` is not a Kafka version like {DEFAULT_VERSION}"))),
        }
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.0, self.1, self.2)
    }
}

/// The jars of one Kafka version.
#[derive(Clone, Debug)]
pub struct Dist {
    version: Version,
    root: PathBuf,
}

/// `target/kafka` of this workspace: jars, and the state of a cluster left running.
pub fn cache_dir() -> PathBuf {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    let workspace = manifest.ancestors().nth(2).unwrap_or(manifest);
    workspace.join("target").join("kafka")
}

impl Dist {
    /// The jars of this version; fetches them on first use.
    ///
    /// A lock on a file keeps tests that run at the same time from fetching twice. The marker is written last, so a
    /// fetch that was interrupted starts over.
    pub fn fetch(version: Version) -> Result<Self> {
        if version < Version(2, 1, 0) {
            return Err(Error::new(format!("Kafka {version} is too old: this harness runs 2.1 and newer")));
        }
        let root = cache_dir().join(version.to_string());
        let dist = Self { version, root };
        let marker = dist.root.join("complete");
        if marker.exists() {
            return Ok(dist);
        }
        fs::create_dir_all(&dist.root).context(|| format!("cannot create {}", dist.root.display()))?;
        // One lock for all versions: Maven's own store is shared and must not be written by two Mavens at once.
        let lock_path = cache_dir().join("lock");
        let lock = File::create(&lock_path).context(|| format!("cannot create {}", lock_path.display()))?;
        lock.lock().context(|| format!("cannot lock {}", lock_path.display()))?;
        if !marker.exists() {
            dist.download()?;
            fs::write(&marker, "").context(|| format!("cannot write {}", marker.display()))?;
        }
        Ok(dist)
    }

    /// True for versions that run with ZooKeeper: KRaft was declared ready with 3.3.
    pub(crate) fn needs_zookeeper(&self) -> bool {
        self.version < Version(3, 3, 0)
    }

    /// The version of these jars.
    pub fn version(&self) -> Version {
        self.version
    }

    /// The jars that hold the command line tools. They are this version's own, but 4.4.0 was published without them:
    /// its brokers run, and 4.3's tools talk to them.
    pub fn tools(&self) -> Result<Self> {
        if self.version >= Version(4, 4, 0) { Self::fetch(Version(4, 3, 1)) } else { Ok(self.clone()) }
    }

    /// `java` with the jars on the class path and flags for small, short-lived JVMs: a tool starts in 1.2 s instead
    /// of 2 s, and a broker takes 330 MB. Quiet logging is configured; the caller adds a class or a file.
    pub fn java(&self) -> Command {
        let mut java = Command::new("java");
        java.args(["-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"]);
        java.arg(self.logging_flag());
        java.arg("-cp").arg(format!("{}/libs/*", self.root.display()));
        java
    }

    fn logging_flag(&self) -> String {
        let dir = self.root.display();
        if self.version >= Version(4, 0, 0) {
            format!("-Dlog4j2.configurationFile={dir}/log4j2.properties")
        } else {
            format!("-Dlog4j.configuration=file:{dir}/log4j1.properties")
        }
    }

    fn download(&self) -> Result<()> {
        require_java()?;
        require("mvn", "Apache Maven (Debian: apt-get install maven), which fetches Kafka's jars")?;
        let pom = self.root.join("pom.xml");
        fs::write(&pom, self.pom()).context(|| format!("cannot write {}", pom.display()))?;
        fs::write(self.root.join("log4j2.properties"), LOG4J2).context(|| "cannot write log4j2.properties".into())?;
        fs::write(self.root.join("log4j1.properties"), LOG4J1).context(|| "cannot write log4j1.properties".into())?;
        let libs = self.root.join("libs");
        // A failed look-up is remembered by Maven and only repeated with -U; without network -o uses what is there.
        let mut log = String::new();
        for extra in [None, Some("-U"), Some("-o")] {
            let _ = fs::remove_dir_all(&libs);
            let output = Command::new("mvn")
                .args(["-q", "-B", "-f"])
                .arg(&pom)
                .args(extra)
                .arg("dependency:copy-dependencies")
                .arg("-DincludeScope=runtime")
                .arg(format!("-DoutputDirectory={}", libs.display()))
                .stdin(Stdio::null())
                .output()
                .context(|| "cannot run `mvn`".into())?;
            if output.status.success() {
                return Ok(());
            }
            log = String::from_utf8_lossy(&output.stdout).into_owned();
        }
        let last: Vec<&str> = log.lines().filter(|line| line.contains("ERROR")).take(6).collect();
        Err(Error::new(format!("Maven could not fetch Kafka {}:\n{}", self.version, last.join("\n"))))
    }

    /// Only `kafka` and `kafka-tools` are needed. Kafka Connect, which the tools draw in, is left out: half the jars.
    fn pom(&self) -> String {
        let version = self.version.to_string();
        let mut dependencies = String::new();
        let mut add = |group: &str, name: &str, version: &str, without: &[&str]| {
            let mut exclusions = String::new();
            for artifact in without {
                let _ = write!(
                    exclusions,
                    "<exclusion><groupId>org.apache.kafka</groupId><artifactId>{artifact}</artifactId></exclusion>"
                );
            }
            let _ = writeln!(
                dependencies,
                "<dependency><groupId>{group}</groupId><artifactId>{name}</artifactId><version>{version}</version>\
                 <exclusions>{exclusions}</exclusions></dependency>"
            );
        };
        const CONNECT: [&str; 4] = ["connect-runtime", "connect-api", "connect-json", "connect-transforms"];
        if self.version >= Version(4, 4, 0) {
            // Neither kafka-tools nor kafka-tools-api was published for 4.4.0; the broker is content with 4.3's API.
            add("org.apache.kafka", "kafka_2.13", &version, &["kafka-tools-api"]);
            add("org.apache.kafka", "kafka-tools-api", "4.3.1", &[]);
        } else {
            // Scala 2.13 came with Kafka 2.4.
            let scala = if self.version >= Version(2, 4, 0) { "kafka_2.13" } else { "kafka_2.12" };
            add("org.apache.kafka", scala, &version, &[]);
            add("org.apache.kafka", "kafka-tools", &version, &CONNECT);
        }
        if self.version < Version(2, 4, 0) {
            // Its own ZooKeeper client, 3.4, cannot resolve addresses on JDK 14 and newer.
            add("org.apache.zookeeper", "zookeeper", "3.5.10", &[]);
        }
        if self.version >= Version(4, 0, 0) {
            add("org.apache.logging.log4j", "log4j-slf4j-impl", LOG4J, &[]);
            add("org.apache.logging.log4j", "log4j-core", LOG4J, &[]);
        }
        format!(
            "<project xmlns=\"http://maven.apache.org/POM/4.0.0\">\n<modelVersion>4.0.0</modelVersion>\n\
             <groupId>klamm</groupId><artifactId>kafka-jars</artifactId><version>1</version><packaging>pom</packaging>\n\
             <dependencies>\n{dependencies}</dependencies>\n</project>\n"
        )
    }
}

/// Fails with a sentence that says what to install when there is no Java.
pub(crate) fn require_java() -> Result<()> {
    require("java", "a JDK, 17 or newer (Debian: apt-get install openjdk-17-jdk-headless)")
}

fn require(program: &str, what: &str) -> Result<()> {
    let found =
        Command::new(program).arg("-version").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status();
    match found {
        Ok(status) if status.success() => Ok(()),
        _ => Err(Error::new(format!("`{program}` is missing: real Kafka needs {what}"))),
    }
}

/// Warnings, and the one line that says a node is up.
const LOG4J2: &str = "\
status = error
appender.out.type = Console
appender.out.name = out
appender.out.layout.type = PatternLayout
appender.out.layout.pattern = %d{HH:mm:ss.SSS} %p %c{1} %m%n
rootLogger.level = warn
rootLogger.appenderRef.out.ref = out
logger.server.name = kafka.server.KafkaRaftServer
logger.server.level = info
";

/// The same for Kafka 3, which brings log4j 1.
const LOG4J1: &str = "\
log4j.rootLogger=WARN, out
log4j.appender.out=org.apache.log4j.ConsoleAppender
log4j.appender.out.layout=org.apache.log4j.PatternLayout
log4j.appender.out.layout.ConversionPattern=%d{HH:mm:ss.SSS} %p %c{1} %m%n
";
