from pathlib import Path

from setuptools import find_packages, setup

setup(
    name="cfgdrive_virt",
    version="0.1.0",
    description="Config drives for libvirt compute services",
    long_description=Path(__file__).with_name("README.md").read_text("utf-8"),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    license_files=["LICENSE"],
    packages=find_packages(include=["cfgdrive_virt", "cfgdrive_virt.*"]),
    # nova loads compute drivers from its own nova.virt alone.
    package_dir={"nova.virt": "cfgdrive_virt/adapters/nova/shim"},
    py_modules=["nova.virt.cfgdrive_virt"],
    package_data={"cfgdrive_virt": ["py.typed"]},
    python_requires=">=3.10",
    install_requires=[
        "click>=8.0",
        "libvirt-python>=8.0",
        "lxml>=4.9",
        "oslo.concurrency>=4.5",
        "oslo.config>=8.8",
        "pycdlib>=1.12",
        "PyYAML>=6.0",
        "rich>=11.2",
    ],
    entry_points={
        "console_scripts": [
            "cfgdrive-virt = cfgdrive_virt.adapters.cli.main:main",
        ],
        "oslo.config.opts": [
            "cfgdrive_virt = cfgdrive_virt.conf:list_opts",
        ],
    },
    classifiers=[
        "Environment :: OpenStack",
        "Intended Audience :: System Administrators",
        "Operating System :: POSIX :: Linux",
        "Programming Language :: Python :: 3",
        "Programming Language :: Python :: 3.10",
        "Programming Language :: Python :: 3.11",
        "Programming Language :: Python :: 3.12",
        "Programming Language :: Python :: 3.13",
        "Typing :: Typed",
    ],
)
