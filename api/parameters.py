"""What routes are told in their paths: names of things."""

from __future__ import annotations

from typing import Annotated

from fastapi import Path

JobName = Annotated[str, Path(description="Id or name of the job.")]
JobSpecName = Annotated[str, Path(description="Id or name of the saved spec.")]
CheckpointName = Annotated[str, Path(description="Id of the checkpoint, or its step.")]
FileName = Annotated[str, Path(description="Id of the file, its name, or its name without extension.")]
FilePath = Annotated[str, Path(description="Of one file, as the list of the files says it.")]
PreparationId = Annotated[str, Path(description="Id of the preparation.")]
ModelName = Annotated[str, Path(description="Id or name of the model.")]
HubName = Annotated[str, Path(description="Name in the hub; or of one version its alias `ft:…` or its id `hub_…`.")]
OrganizationName = Annotated[str, Path(description="Id or name of the organization.")]
KeyId = Annotated[str, Path(description="Id of the key.")]
