"""What people do with MLflow's stock client, against this registry. Arguments: address, folder of a model."""

import sys
import tempfile
from pathlib import Path

import mlflow
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient

address, model = sys.argv[1], Path(sys.argv[2])
mlflow.set_tracking_uri(address)
mlflow.set_registry_uri(address)
client = MlflowClient()
# What `mlflow.register_model` looks for in a folder that is a model.
(model / "MLmodel").write_text("artifact_path: model\nflavors:\n  onnx:\n    data: model.onnx\n")

# Log.
mlflow.set_experiment("risk")
with mlflow.start_run(run_name="first") as run:
    mlflow.log_param("leaves", 31)
    mlflow.log_params({"trees": 200, "rate": 0.05})
    mlflow.log_metric("roc_auc", 0.75, step=1)
    mlflow.log_metric("roc_auc", 0.77, step=2)
    mlflow.log_metrics({"brier": 0.15})
    mlflow.set_tag("team", "ci")
    mlflow.log_artifacts(str(model), "model")
    mlflow.log_text("hello", "notes/a.txt")
found = client.get_run(run.info.run_id)
assert found.data.params == {"leaves": "31", "trees": "200", "rate": "0.05"}, found.data.params
assert found.data.metrics == {"roc_auc": 0.77, "brier": 0.15}, found.data.metrics
assert found.data.tags["team"] == "ci" and found.info.status == "FINISHED"
assert [m.value for m in client.get_metric_history(run.info.run_id, "roc_auc")] == [0.75, 0.77]
names = {f.path: f.is_dir for f in client.list_artifacts(run.info.run_id)}
assert names == {"model": True, "notes": True}, names
inside = {f.path for f in client.list_artifacts(run.info.run_id, "model")}
assert "model/manifest.json" in inside and "model/model.onnx" in inside, inside
assert len(client.search_runs([run.info.experiment_id])) == 1

# Register.
version = mlflow.register_model(f"runs:/{run.info.run_id}/model", "change-risk")
assert version.version == "2", version.version
again = client.create_model_version("change-risk", f"{run.info.artifact_uri}/model", run.info.run_id,
                                    tags={"stage": "tried"}, description="the same once more")
assert again.version == "3" and again.run_id == run.info.run_id
client.create_registered_model("other", tags={"kind": "toy"}, description="of another kind")
try:
    client.create_registered_model("other")
    raise AssertionError("a name is made once")
except MlflowException as fault:
    assert fault.error_code == "RESOURCE_ALREADY_EXISTS", fault

# Alias and find.
client.set_registered_model_alias("change-risk", "champion", "2")
client.set_registered_model_alias("change-risk", "staging", "3")
assert client.get_model_version_by_alias("change-risk", "champion").version == "2"
assert client.get_model_version("change-risk", "3").aliases == ["staging"]
assert client.get_registered_model("change-risk").aliases == {"champion": "2", "staging": "3"}
client.delete_registered_model_alias("change-risk", "staging")
assert {v.version for v in client.search_model_versions("name='change-risk'")} == {"1", "2", "3"}
assert [m.name for m in client.search_registered_models("name LIKE 'oth%'")] == ["other"]
client.set_model_version_tag("change-risk", "2", "checked", "yes")
assert client.get_model_version("change-risk", "2").tags["checked"] == "yes"
client.update_model_version("change-risk", "2", description="words")
assert client.get_model_version("change-risk", "2").description == "words"

# Download: by alias, by number, and what was registered elsewhere.
for uri in ("models:/change-risk@champion", "models:/change-risk/3", "models:/change-risk/1"):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(mlflow.artifacts.download_artifacts(uri, dst_path=folder))
        for name in ("manifest.json", "model.onnx", "golden.json"):
            assert (path / name).read_bytes() == (model / name).read_bytes(), (uri, name)

# What runs code is refused, and what nothing can score with takes no alias that scores.
with tempfile.TemporaryDirectory() as folder:
    bad = Path(folder) / "model.pkl"
    bad.write_bytes(b"\x80\x04.")
    try:
        client.log_artifact(run.info.run_id, str(bad))
        raise AssertionError("a pickle is refused")
    except AssertionError:
        raise
    except Exception as fault:
        assert "400" in str(fault) or "not kept" in str(fault), fault
text = client.create_model_version("other", f"{run.info.artifact_uri}/notes", run.info.run_id)
client.set_registered_model_alias("other", "staging", text.version)
try:
    client.set_registered_model_alias("other", "champion", text.version)
    raise AssertionError("it cannot score")
except MlflowException as fault:
    assert "manifest.json" in str(fault), fault
for missing in (lambda: client.get_registered_model("none"), lambda: client.get_model_version("change-risk", "99")):
    try:
        missing()
        raise AssertionError("it is not there")
    except MlflowException as fault:
        assert fault.error_code == "RESOURCE_DOES_NOT_EXIST", fault
print("all of it works with mlflow", mlflow.__version__)
