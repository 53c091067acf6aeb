-- Health of Auspex's Rollout in Argo CD: goes into argocd-cm under resource.customizations.health.auspex.dev_Rollout
local hs = { status = "Progressing", message = "not begun yet" }
if obj.status == nil or obj.status.phase == nil then
  return hs
end
if obj.metadata.generation ~= nil and obj.status.observedGeneration ~= obj.metadata.generation then
  hs.message = "the last change is not begun yet"
  return hs
end
local health = {
  Pending = "Progressing", Waiting = "Progressing", Progressing = "Progressing", Baking = "Progressing", Returning = "Progressing",
  Paused = "Suspended", Promoted = "Healthy", RolledBack = "Degraded", Refused = "Degraded", Unknown = "Unknown",
}
hs.status = health[obj.status.phase] or "Unknown"
hs.message = (obj.status.reason or "") .. ": " .. (obj.status.message or "")
if obj.status.drift ~= nil then
  hs.message = hs.message .. " (changed by others: " .. obj.status.drift .. ")"
end
return hs
