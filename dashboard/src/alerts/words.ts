// What is said of alerts in more than one place.

/** Why an alert is closed that nobody closed. */
export const BY_ITSELF = "nothing new came of it for a while, or what was watched ended";
