"""What pyproject.toml cannot say: in the wheel, the scripts and conf/ of a checkout lie inside anypose."""

from pathlib import Path

from setuptools import find_packages, setup
from setuptools.command.build_py import build_py


class Build(build_py):
    """Every script at the top of the checkout is one of the wheel's, this file apart."""

    def find_package_modules(self, package: str, package_dir: str) -> list[tuple[str, str, str]]:
        modules = super().find_package_modules(package, package_dir)
        return [module for module in modules if Path(module[2]).name != "setup.py"]


setup(
    packages=[*find_packages(include=["anypose*", "pose2d*", "pose3d*"]), "anypose.conf", "anypose.scripts"],
    package_dir={"anypose.conf": "conf", "anypose.scripts": "."},
    package_data={"anypose": ["released/*", "drawing/*.html"], "anypose.conf": ["**/*.yaml"]},
    include_package_data=False,
    cmdclass={"build_py": Build},
)
