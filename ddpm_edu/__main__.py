"`python -m ddpm_edu` lists the commands, as `ddpm_help` does."
import sys

from ddpm_edu.using.all_commands import ddpm_help

sys.exit(ddpm_help.main())  # type: ignore[attr-defined]
