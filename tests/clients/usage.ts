// Compiled, not run: what a caller writes against the generated types.
import type { components, paths } from './api';

type Job = components['schemas']['Job'];
type NewJob = paths['/v1/fine_tuning/jobs']['post']['requestBody']['content']['application/json'];
type Answer = paths['/v1/models/{model}/predictions']['post']['responses'][200]['content']['application/json'];
type Refusal = paths['/v1/fine_tuning/jobs']['post']['responses'][422]['content']['application/problem+json'];

export const wanted: NewJob = { model: 'efficientnet_lite0', training_file: 'ds_x' };
export const model = (job: Job): string | null => job.fine_tuned_model;
export const why = (refusal: Refusal): string => `${refusal.code}: ${refusal.message}`;
export const labels = (answer: Answer): string[] =>
  answer.data.map((item) => ('label' in item ? item.label : item.error.code));
export const troubles = (dataset: components['schemas']['Dataset']): string[] =>
  dataset.problems.map((problem) => `${problem.path}: ${problem.code}`);

// @ts-expect-error a job needs its data
export const incomplete: NewJob = { model: 'efficientnet_lite0' };
