"""From the start of a process to the first result of a dense layer with four units."""
import torch

print(torch.nn.Linear(8, 4)(torch.ones(1, 8)).shape[1])
