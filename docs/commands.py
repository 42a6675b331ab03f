"""The page of all commands, from their help; `make docs` writes it before it builds the site."""

from netvlad.cli.main import app

if __name__ == "__main__":
    _, _, sections = app.generate_docs(output_format="markdown").partition("**Commands**")
    print(f"# Commands\n\nThe same as `netvlad COMMAND --help`.\n\n**Commands**{sections}")
